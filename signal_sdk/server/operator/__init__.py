"""What whoever runs the server may do with it, as rules.

`operator.Operator` is what a node offers, `facts` what it answers.
"""
