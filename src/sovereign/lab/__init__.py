"""The laboratory: a Mixture-of-Experts testbed, its studies and their sealed trials. Imports layers 0-1; torch only inside the modules that compute."""
