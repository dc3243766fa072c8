using Cnvm.Hypervisor.State.Format;

namespace Cnvm.Vmm.Migration;

/// <summary>The source's first message. Its elements are the same in all versions of the protocol.</summary>
internal sealed record MigrationHello
{
    /// <summary>Oldest protocol version that the source speaks.</summary>
    public required ushort Lowest { get; init; }

    /// <summary>Newest protocol version that the source speaks.</summary>
    public required ushort Highest { get; init; }

    /// <summary>Bits of optional abilities.</summary>
    public required ulong Features { get; init; }

    /// <summary>16 random bytes that name the migration.</summary>
    public required byte[] Session { get; init; }

    /// <summary>False: a guest is to move. True: the source only asks how the session ended.</summary>
    public required bool IsQuestion { get; init; }

    /// <summary>Program and version; for people.</summary>
    public required string Producer { get; init; }

    public static MigrationHello Describe(StateVisitor v, MigrationHello? h)
    {
        var hello = new MigrationHello
        {
            Lowest = v.U16(1, "lowest", h?.Lowest),
            Highest = v.U16(2, "highest", h?.Highest),
            Features = v.U64(3, "features", h?.Features),
            Session = v.Bytes(4, "session", h?.Session),
            IsQuestion = v.Bool(5, "is_question", h?.IsQuestion),
            Producer = v.Text(6, "producer", h?.Producer),
        };
        v.Require(hello.Session.Length == MigrationWire.SessionBytes, $"a session of {hello.Session.Length} bytes");
        return hello;
    }
}
