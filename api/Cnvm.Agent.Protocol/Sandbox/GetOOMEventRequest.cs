using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Waits until the kernel has killed a process for want of memory, answered by <see cref="OOMEvent"/>.</summary>
[ProtoMessage]
public sealed partial record GetOOMEventRequest;
