MODEL = "small"
