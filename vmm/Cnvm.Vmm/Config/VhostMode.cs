namespace Cnvm.Vmm.Config;

/// <summary>Which side of a vhost-user connection connects.</summary>
public enum VhostMode
{
    Client,
    Server,
}
