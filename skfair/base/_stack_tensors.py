"""The tensors of a net, of all its players and of its optimizers: taken out, put in, copied in part."""

import copy

import torch
from torch import nn

from skfair.base._net import BaseNet

__all__ = ["attach", "copy_state", "players_of", "put_state", "remade", "shallow", "tensors_of"]


class _Players(nn.Module):
    """All that an objective reads, so that torch can put one model's tensors in its place."""

    def __init__(self, modules):
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, function, args):
        """The function's value, and the buffers that it has replaced."""
        before = dict(self.named_buffers())
        value = function(*args)
        return value, {name: b for name, b in self.named_buffers() if b is not before[name]}


def players_of(net):
    """Networks, criterion and state of the net and of its earlier stages."""
    modules = {f"{name}_": getattr(net, f"{name}_") for name in net._modules + net._criteria}
    for key, stage in vars(net).items():
        if isinstance(stage, BaseNet) and stage.initialized_ and key not in net.input_stages:
            modules |= {f"{key}/{name}_": getattr(stage, f"{name}_") for name in stage._modules + stage._criteria}
    return _Players(modules)


def tensors_of(net):
    """Parameters and buffers by name."""
    players = players_of(net)
    return {**dict(players.named_parameters()), **dict(players.named_buffers())}


def remade(players, tensors):
    """A copy of the players that holds these tensors."""
    memo = {}
    for name, old in [*players.named_parameters(), *players.named_buffers()]:
        new = tensors[name].detach()
        memo[id(old)] = nn.Parameter(new, old.requires_grad) if isinstance(old, nn.Parameter) else new
    return copy.deepcopy(players, memo)


def attach(net, players):
    """Let the net, and copies of its earlier stages, hold these players."""
    tensors = {**dict(players.named_parameters()), **dict(players.named_buffers())}
    vars(net).update(players_=players, tensors_=tensors)  # past skorch, which would count them among the modules
    stages = {}
    for name, module in players.named_children():
        key, _, part = name.rpartition("/")
        if key and key not in stages:
            stages[key] = vars(net)[key] = shallow(vars(net)[key], type(vars(net)[key]))
        vars(stages[key] if key else net)[part] = module


def shallow(net, cls):
    other = object.__new__(cls)
    vars(other).update(vars(net))
    return other


def _parameters(optimizer):
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def copy_state(source, target, part):
    """Copy the state and the settings of an optimizer; ``part`` is applied to what has the shape of the parameter."""
    for own, other in zip(source.param_groups, target.param_groups, strict=True):
        other.update({key: value for key, value in own.items() if key != "params"})
    for p, q in zip(_parameters(source), _parameters(target), strict=True):
        target.state[q] = {
            key: part(value) if _like(value, p) else copy.deepcopy(value) for key, value in source.state[p].items()
        }


def put_state(target, source, index):
    for p, q in zip(_parameters(target), _parameters(source), strict=True):
        for key, value in source.state[q].items():
            if not _like(value, q):
                target.state[p][key] = copy.deepcopy(value)
                continue
            whole = target.state[p].setdefault(key, torch.zeros_like(p))
            whole[index] = value


def _like(value, parameter):
    return isinstance(value, torch.Tensor) and value.shape == parameter.shape
