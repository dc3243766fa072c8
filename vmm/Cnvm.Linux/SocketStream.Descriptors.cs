namespace Cnvm.Linux;

// Descriptors that go along with bytes, on Unix sockets (unix(7), SCM_RIGHTS).
public sealed unsafe partial class SocketStream
{
    private readonly UnixStream? _unix;
    private List<FileDescriptor>? _received;
    private int[] _attached = [];

    /// <summary>Descriptors can go along.</summary>
    public bool CarriesDescriptors => _unix is not null;

    /// <summary>Keeps the descriptors that come from now on; those that come without this are closed by the kernel.</summary>
    /// <param name="into">They are the caller's; <see cref="UnixStream.MaxDescriptors"/> at most.</param>
    /// <exception cref="InvalidOperationException">The socket carries none.</exception>
    public void ReceiveDescriptors(List<FileDescriptor> into)
    {
        ArgumentNullException.ThrowIfNull(into);
        _received = CarriesDescriptors ? into : throw new InvalidOperationException("the connection carries no descriptors");
    }

    /// <summary>No more are kept.</summary>
    public void EndDescriptors() => _received = null;

    /// <summary>Descriptors that go along with the first byte of what is written next. They stay the caller's.</summary>
    /// <exception cref="InvalidOperationException">The socket carries none.</exception>
    public void AttachDescriptors(int[] descriptors)
    {
        ArgumentNullException.ThrowIfNull(descriptors);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(descriptors.Length, UnixStream.MaxDescriptors, nameof(descriptors));
        _attached = CarriesDescriptors ? descriptors : throw new InvalidOperationException("the connection carries no descriptors");
    }

    /// <summary>Bytes that went with the descriptors that wait for it.</summary>
    private int SendAttached(ReadOnlySpan<byte> buffer)
    {
        while (_attached.Length > 0 && buffer.Length > 0)
        {
            int count = _unix!.Send(buffer, _attached);
            if (count > 0)
            {
                _attached = [];
                return count;
            }

            if (count == 0)
            {
                throw new LinuxException("write to the peer", Errno.EPIPE);
            }

            WaitFor(PollEntry.Out, WriteTimeout, "write: the peer takes nothing");
        }

        return 0;
    }

    private int ReceiveWithDescriptors(Span<byte> buffer)
    {
        int count = _unix!.Receive(buffer, _received!);
        if (_received!.Count > UnixStream.MaxDescriptors)
        {
            throw new LinuxException($"the peer sends more than {UnixStream.MaxDescriptors} descriptors", Errno.EMFILE);
        }

        return count;
    }
}
