namespace Cnvm.Nested;

/// <summary>An Ethernet cable between two nested hosts. Frames go from one QEMU to the other and nowhere else.</summary>
public sealed class NestedHostLink : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("cnvm-link-").FullName;

    /// <summary>Lays a cable. Give <see cref="First"/> to one host and <see cref="Second"/> to the other, in any order of start.</summary>
    public NestedHostLink()
    {
        var a = Path.Combine(_directory, "a");
        var b = Path.Combine(_directory, "b");
        First = new NestedHostLinkEnd(a, b, "10.77.0.1", "52:54:00:77:00:01");
        Second = new NestedHostLinkEnd(b, a, "10.77.0.2", "52:54:00:77:00:02");
    }

    /// <summary>The end with address 10.77.0.1.</summary>
    public NestedHostLinkEnd First { get; }

    /// <summary>The end with address 10.77.0.2.</summary>
    public NestedHostLinkEnd Second { get; }

    /// <summary>Removes the sockets; both hosts must be gone.</summary>
    public void Dispose() => Directory.Delete(_directory, recursive: true);
}
