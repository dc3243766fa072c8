using System.Diagnostics;
using Cnvm.Linux;

namespace Cnvm.Api.Http;

/// <summary>One complete request. Descriptors that nobody took are closed with it.</summary>
internal sealed class HttpRequest : IDisposable
{
    private bool _givenAway;

    public required string Method { get; init; }

    /// <summary>Absolute path, with nothing decoded.</summary>
    public required string Path { get; init; }

    public byte[] Body { get; init; } = [];

    /// <summary>Descriptors that came with the request's bytes, in order.</summary>
    public required IReadOnlyList<FileDescriptor> Descriptors { get; init; }

    /// <summary>When the request was complete (<see cref="Stopwatch.GetTimestamp"/>).</summary>
    public long Arrived { get; } = Stopwatch.GetTimestamp();

    /// <summary>Somebody else owns the descriptors from now on.</summary>
    public void GiveAwayDescriptors() => _givenAway = true;

    public void Dispose()
    {
        if (_givenAway)
        {
            return;
        }

        foreach (FileDescriptor descriptor in Descriptors)
        {
            descriptor.Dispose();
        }
    }
}
