"""Liquidation-cascade signals from liquidations and prices on Kafka."""
