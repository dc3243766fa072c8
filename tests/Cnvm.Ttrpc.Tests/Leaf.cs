namespace Cnvm.Ttrpc.Tests;

[ProtoMessage]
internal sealed partial record Leaf
{
    [ProtoMember(1)]
    public string Name { get; init; } = "";

    [ProtoMember(200)]
    public ulong Value { get; init; }
}
