from tests.node_vm.fixture import node_vm

__all__ = ["node_vm"]
