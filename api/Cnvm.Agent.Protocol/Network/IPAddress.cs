using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>An address of an interface.</summary>
[ProtoMessage]
public sealed partial record IPAddress
{
    /// <summary>Its family.</summary>
    [ProtoMember(1)]
    public IPFamily Family { get; init; }

    /// <summary>The address as text.</summary>
    [ProtoMember(2)]
    public string Address { get; init; } = "";

    /// <summary>The length of its network's prefix as text, such as <c>24</c>.</summary>
    [ProtoMember(3)]
    public string Mask { get; init; } = "";
}
