"""What a change of law files means: which claims changed how, on what evidence, and what a search now does differently."""
