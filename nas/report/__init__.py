"""What people look at: tables, pictures, pages and the model card. No torch here."""
