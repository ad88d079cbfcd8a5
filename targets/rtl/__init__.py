"""Logic gate networks as Verilog: a design becomes a circuit of signals, the circuit becomes text.

``names``: identifiers that every tool takes; ``expression``: a look-up table in operators; ``circuit``: signals with
their level, stage and registers; ``build``: netlist, sums and argmax as signals; ``module``: the synthesizable text;
``recurrent``: a state around it; ``bench``: the testbench.
"""
