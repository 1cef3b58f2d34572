"""Arms a program that knows nothing of Refute: put first on PYTHONPATH, `sitecustomize` joins the link before the program starts."""
