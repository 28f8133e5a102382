"""claim → fetch → decode → infer → resolve → store: composes the stages, knows what each error means.

Nothing is imported here: the stages alone are for hosts without a database, too.
"""
