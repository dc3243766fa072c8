namespace Cnvm.Guest.Tests;

/// <summary>In which way a guest's memory and disks get from one process to another.</summary>
/// <param name="Name">As the table of moves names it.</param>
/// <param name="SendKeys">More of the body of vm.send-migration, beginning with a comma.</param>
/// <param name="ReceiveKeys">More of the body of vm.receive-migration, beginning with a comma.</param>
/// <param name="BringsDisks">Disks move along, into new files beside those that they were in.</param>
/// <param name="NeedsSameHost">The processes hand memory to each other.</param>
/// <param name="NeedsRoot">The target's kernel lets nobody else wait for memory.</param>
internal sealed record MoveMode(
    string Name, string SendKeys = "", string ReceiveKeys = "", bool BringsDisks = false, bool NeedsSameHost = false, bool NeedsRoot = false)
{
    public static MoveMode Precopy { get; } = new("pre-copy");

    public static MoveMode WithDisks { get; } = new("with disks", BringsDisks: true);

    /// <summary>After one round the guest runs there, unless less is left than the connection carries in a millisecond.</summary>
    public static MoveMode Postcopy { get; } =
        new("post-copy", ",\"memory_mode\":\"Postcopy\",\"downtime_ms\":1", ",\"memory_mode\":\"Postcopy\"", NeedsRoot: true);

    /// <summary>The guest's memory has to be shared for it.</summary>
    public static MoveMode Local { get; } = new("local", ",\"local\":true", NeedsSameHost: true);

    /// <summary>The columns of the table of moves.</summary>
    public static IReadOnlyList<MoveMode> All { get; } = [Precopy, WithDisks, Postcopy, Local];

    /// <summary>What a guest's memory has to be for it: further keys of --memory.</summary>
    public string MemoryKeys => NeedsSameHost ? ",shared=on" : "";
}
