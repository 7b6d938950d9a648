"""Commands to the batteries of inverters in the network, and that each of them ends."""
