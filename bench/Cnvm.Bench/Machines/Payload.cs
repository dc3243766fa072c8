namespace Cnvm.Bench.Machines;

/// <summary>
/// guest-images/payload: a guest without an operating system whose work runs at CPL 3, so that it runs at full speed also on a KVM
/// that has no hardware virtualisation behind it. What it can be asked for and what it answers on port 0xe9.
/// </summary>
internal static class Payload
{
    /// <summary>Name among the guest images.</summary>
    public const string Image = "payload";

    /// <summary>Printed by the first instructions.</summary>
    public const string ReadyText = "R";

    /// <summary>Printed when the work is done.</summary>
    public const string DoneText = "D";

    /// <summary>Reports and stops.</summary>
    public const string Ready = "p1";

    /// <summary>Writes to a port that often.</summary>
    public static string PortWrites(int count) => $"p{count}";

    /// <summary>Writes to an address outside RAM that often.</summary>
    public static string MmioWrites(int count) => $"m{count}";
}
