print("imports may print")


def answered(case, answer):
    return answer == case


def grounded(case, answer):
    return answer == case
