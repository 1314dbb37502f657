"""The formula language: `weighted-softmax + 0.5*center(alpha=0.1)`.

    formula = term {"+" term}
    term    = [number "*"] call
    call    = (name | path "." "py" ":" name) ["(" [argument {"," argument}] ")"]
    argument = name "=" value
    value   = plain | "[" [plain {"," plain}] "]"
    plain   = number | "text" | 'text' | true | false | none | counts | word

The word `counts` stands for the class counts of the task.

Formulas are parsed, never evaluated, and cannot be nested, so that no input can run code or exhaust the stack.
Coefficients are finite and positive; terms cannot be subtracted.
"""

from .parse import parse_call, parse_formula, split_losses
from .reader import MAX_LENGTH
from .terms import COUNTS, ClassCounts, Formula, Plain, Term, Value, filled, is_object_path, written

__all__ = [
    "COUNTS",
    "MAX_LENGTH",
    "ClassCounts",
    "Formula",
    "Plain",
    "Term",
    "Value",
    "filled",
    "is_object_path",
    "parse_call",
    "parse_formula",
    "split_losses",
    "written",
]
