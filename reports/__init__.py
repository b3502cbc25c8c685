"""What people look at: one run report, printed as tables, drawn as plots and written as JSON."""
