"""Indicators of the store; they are evaluated where it runs."""


def priced(case: dict, answer: dict) -> bool:
    if case.get("journey") == "receipt":
        return True
    paid = answer["body"].get("price", answer["body"].get("paid"))
    return answer["status"] == 200 and paid in {3, 4}
