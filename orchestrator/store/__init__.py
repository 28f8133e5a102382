"""The database: the only package with SQL. Each module is one concern; `unit_of_work` runs them."""
