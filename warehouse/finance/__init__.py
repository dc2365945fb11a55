"""The pack for finance: what its sheets hold, what they are called in each language, and how they become a workbook."""
