namespace Cnvm.Virtio.Fs;

/// <summary>
/// The numbers of users, or of groups, on the two sides of a shared folder. Without ranges both sides use the same; with some, whoever is in
/// none of them has no number on the other side, as in a user namespace (user_namespaces(7)). Immutable.
/// </summary>
internal sealed class IdMap
{
    /// <summary>Whom the guest sees as the owner of what belongs to nobody that it knows: the kernel's overflow user and group.</summary>
    public const uint Nobody = 65534;

    private readonly IdRange[] _ranges;

    /// <param name="ranges">None overlaps another on either side, and none goes beyond the largest number.</param>
    public IdMap(IReadOnlyList<IdRange> ranges) => _ranges = [.. ranges];

    /// <returns>False if the host has no number for it.</returns>
    public bool TryToHost(uint guest, out uint host)
    {
        host = guest;
        foreach (ref readonly IdRange range in _ranges.AsSpan())
        {
            if (guest - range.Guest < range.Count)
            {
                host = range.Host + (guest - range.Guest);
                return true;
            }
        }

        return _ranges.Length == 0;
    }

    public uint ToGuest(uint host)
    {
        foreach (ref readonly IdRange range in _ranges.AsSpan())
        {
            if (host - range.Host < range.Count)
            {
                return range.Guest + (host - range.Host);
            }
        }

        return _ranges.Length == 0 ? host : Nobody;
    }
}
