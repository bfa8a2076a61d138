"""Laws and recorded runs for coding agents and editors: questions and answers of bounded size, and the server that speaks MCP."""
