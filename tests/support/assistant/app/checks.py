print("imports may print")


def answered(case, answer):
    return answer == case


def tokens(case, answer):
    return 100


def grounded(case, answer):
    return answer == case
