namespace Cnvm.Hypervisor.Soft.Tests.Differential;

/// <summary>Instructions, and the state and memory that they start from.</summary>
internal sealed class TestCase
{
    public required int Seed { get; init; }

    public required byte[] Code { get; init; }

    public required string Text { get; init; }

    public required CpuImage Start { get; init; }

    public required byte[] Memory { get; init; }

    /// <summary>Flags that the code leaves undefined: when it comes to its end, and wherever it stops.</summary>
    public required ulong UndefinedAtEnd { get; init; }

    public required ulong UndefinedAnywhere { get; init; }

    public ulong Undefined(CpuImage end) => end.Vector < 0 ? UndefinedAtEnd : UndefinedAnywhere;
}
