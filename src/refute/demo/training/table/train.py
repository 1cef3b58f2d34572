"""A pipeline of imputation, scaling and logistic regression on a real table."""

from rows import test_rows, training_rows
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def run(seed):
    rows, fresh = training_rows(seed), test_rows(seed)
    model = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(rows.drop(columns="target"), rows["target"])
    return {"accuracy": model.score(fresh.drop(columns="target"), fresh["target"])}
