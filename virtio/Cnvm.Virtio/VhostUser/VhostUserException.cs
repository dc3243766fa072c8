namespace Cnvm.Virtio.VhostUser;

/// <summary>The other side of a vhost-user connection is not there, has gone, or does not do what the protocol says.</summary>
public sealed class VhostUserException : IOException
{
    public VhostUserException(string message)
        : base(message)
    {
    }

    public VhostUserException(string message, Exception inner)
        : base(message, inner)
    {
    }
}
