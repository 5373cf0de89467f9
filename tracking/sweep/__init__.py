"""A batch-size study: what trainings cost and how soon they learn, as numbers, table, figures and page."""
