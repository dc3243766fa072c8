using Cnvm.Linux;

namespace Cnvm.Virtio.Net;

/// <summary>Where the program at the other end of a stream of frames is found, or made. Used by one thread at a time.</summary>
internal interface IStreamSource : IDisposable
{
    /// <summary>For messages: a path, or what is started.</summary>
    string Name { get; }

    /// <summary>The program is started here: that it cannot be is worth a message each time, and not only that it is gone.</summary>
    bool StartsProgram { get; }

    /// <summary>A new connection, which does not block; the caller owns it, and has closed the one before.</summary>
    /// <param name="obstacle">Why there is none now, and what to do; empty otherwise.</param>
    /// <exception cref="LinuxException">The host refuses for a reason of its own.</exception>
    UnixStream? TryConnect(out string obstacle);

    /// <summary>What the program said when it ended; null if that is not known.</summary>
    string? LastWords();
}
