def lookup_order(number):
    return {"number": number}
