namespace Cnvm.Arch.Machine;

/// <summary>The configuration asks for a machine whose address space cannot be laid out. The message says which value and its limit.</summary>
public sealed class MachineLayoutException(string message) : Exception(message);
