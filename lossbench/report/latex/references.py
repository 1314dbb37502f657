"""BibTeX of what a methods paragraph cites."""

from __future__ import annotations

REFERENCES = {
    "dorfman1992": r"""@article{dorfman1992,
  author = {Dorfman, Donald D. and Berbaum, Kevin S. and Metz, Charles E.},
  title = {Receiver operating characteristic rating analysis: generalization to the population of readers and patients
           with the jackknife method},
  journal = {Investigative Radiology}, volume = {27}, number = {9}, pages = {723--731}, year = {1992}
}""",
    "hillis2007": r"""@article{hillis2007,
  author = {Hillis, Stephen L.},
  title = {A comparison of denominator degrees of freedom methods for multiple observer {ROC} analysis},
  journal = {Statistics in Medicine}, volume = {26}, number = {3}, pages = {596--619}, year = {2007}
}""",
    "holm1979": r"""@article{holm1979,
  author = {Holm, Sture},
  title = {A simple sequentially rejective multiple test procedure},
  journal = {Scandinavian Journal of Statistics}, volume = {6}, number = {2}, pages = {65--70}, year = {1979}
}""",
    "schuirmann1987": r"""@article{schuirmann1987,
  author = {Schuirmann, Donald J.},
  title = {A comparison of the two one-sided tests procedure and the power approach for assessing the equivalence of
           average bioavailability},
  journal = {Journal of Pharmacokinetics and Biopharmaceutics}, volume = {15}, number = {6}, pages = {657--680},
  year = {1987}
}""",
    "piepho2004": r"""@article{piepho2004,
  author = {Piepho, Hans-Peter},
  title = {An algorithm for a letter-based representation of all-pairwise comparisons},
  journal = {Journal of Computational and Graphical Statistics}, volume = {13}, number = {2}, pages = {456--466},
  year = {2004}
}""",
    "korn1998": r"""@article{korn1998,
  author = {Korn, Edward L. and Graubard, Barry I.},
  title = {Confidence intervals for proportions with small expected number of positive counts estimated from survey
           data},
  journal = {Survey Methodology}, volume = {24}, number = {2}, pages = {193--201}, year = {1998}
}""",
    "lan1983": r"""@article{lan1983,
  author = {Lan, K. K. Gordon and DeMets, David L.},
  title = {Discrete sequential boundaries for clinical trials},
  journal = {Biometrika}, volume = {70}, number = {3}, pages = {659--663}, year = {1983}
}""",
    "menon2021": r"""@inproceedings{menon2021,
  author = {Menon, Aditya Krishna and Jayasumana, Sadeep and Rawat, Ankit Singh and Jain, Himanshu and Veit, Andreas
            and Kumar, Sanjiv},
  title = {Long-tail learning via logit adjustment},
  booktitle = {International Conference on Learning Representations}, year = {2021}
}""",
    "dodge2019": r"""@inproceedings{dodge2019,
  author = {Dodge, Jesse and Gururangan, Suchin and Card, Dallas and Schwartz, Roy and Smith, Noah A.},
  title = {Show your work: improved reporting of experimental results},
  booktitle = {Proceedings of EMNLP-IJCNLP}, pages = {2185--2194}, year = {2019}
}""",
}
