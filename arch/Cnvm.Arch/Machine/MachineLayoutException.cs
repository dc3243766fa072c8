namespace Cnvm.Arch.Machine;

/// <summary>
/// The configuration asks for a machine that cannot exist: memory, PCI windows, processors. The message says which value and its limit.
/// </summary>
public sealed class MachineLayoutException(string message) : Exception(message);
