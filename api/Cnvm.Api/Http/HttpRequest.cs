using Cnvm.Linux;

namespace Cnvm.Api.Http;

/// <summary>One complete request. Descriptors that nobody took are closed with it.</summary>
internal sealed class HttpRequest : IDisposable
{
    public required string Method { get; init; }

    /// <summary>Absolute path, with nothing decoded.</summary>
    public required string Path { get; init; }

    public byte[] Body { get; init; } = [];

    /// <summary>Descriptors that came with the request's bytes, in order.</summary>
    public required IReadOnlyList<FileDescriptor> Descriptors { get; init; }

    public void Dispose()
    {
        foreach (FileDescriptor descriptor in Descriptors)
        {
            descriptor.Dispose();
        }
    }
}
