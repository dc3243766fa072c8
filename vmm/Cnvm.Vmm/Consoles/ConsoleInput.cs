namespace Cnvm.Vmm.Consoles;

/// <summary>Takes bytes that a person typed; returns how many it took. The rest is offered again after <see cref="HostConsole.ResumeInput"/>.</summary>
public delegate int ConsoleInput(ReadOnlySpan<byte> data);
