"""The paper's questions, asked of the small network: its tables, its windows, its gains."""
