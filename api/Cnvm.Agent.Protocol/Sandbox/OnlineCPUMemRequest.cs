using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Has the guest use processors and memory that were added. The answer is <see cref="Empty"/>.</summary>
[ProtoMessage]
public sealed partial record OnlineCPUMemRequest
{
    /// <summary>Whether the answer comes when all are in use.</summary>
    [ProtoMember(1)]
    public bool Wait { get; init; }

    /// <summary>Processors to bring into use; 0 for as many as there are.</summary>
    [ProtoMember(2)]
    public uint NbCpus { get; init; }

    /// <summary>Leave the memory.</summary>
    [ProtoMember(3)]
    public bool CpuOnly { get; init; }
}
