namespace Cnvm.Ttrpc;

/// <summary>
/// What messages are by their bytes: equal, and how they are shown. One method for all of them; those that a compiler writes for each record, property
/// by property, were a fifth of what a program with many messages takes.
/// </summary>
public static class ProtoBytes
{
    /// <summary>Whether both are there and have the same bytes, or neither is there.</summary>
    public static bool AreEqual(IProtoMessage? left, IProtoMessage? right) =>
        ReferenceEquals(left, right) || (left is not null && right is not null && Of(left).AsSpan().SequenceEqual(Of(right)));

    /// <summary>The same for messages that are equal.</summary>
    public static int HashOf(IProtoMessage message)
    {
        var hash = new HashCode();
        hash.AddBytes(Of(message));
        return hash.ToHashCode();
    }

    /// <summary>The bytes in hexadecimal, for people who look for a fault.</summary>
    public static string Show(IProtoMessage message) => $"{{{Convert.ToHexString(Of(message))}}}";

    private static byte[] Of(IProtoMessage message)
    {
        ArgumentNullException.ThrowIfNull(message);
        var writer = new ProtoWriter();
        message.Write(writer);
        return writer.ToArray();
    }
}
