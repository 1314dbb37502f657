"""The machine: processor, devices, versions, and missing requirements of features.

<<<<<<< HEAD
facts    facts on which figures can depend, for records, benchmarks and certificates
doctor   `lossbench doctor`
=======
facts       what figures may depend on: written into records, benchmarks and certificates
git_state   commit of the repository around the current directory
doctor      `lossbench doctor`
>>>>>>> 422054a (Read the commit of a run without obeying the repository around it)

May import discovery, files and errors.
"""
