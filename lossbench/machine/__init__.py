"""The machine: processor, devices, versions, and missing requirements of features.

facts       facts on which figures can depend, for records, benchmarks and certificates
git_state   commit of the repository around the current directory
limits      shared memory and open files
doctor      `lossbench doctor`

May import discovery, files and errors.
"""
