namespace Cnvm.Virtio.Vsock;

/// <summary>Packets without payload that a connection owes the guest, in the order of their bits.</summary>
[Flags]
internal enum VsockSignals
{
    None = 0,
    Request = 1,
    Response = 2,
    CreditUpdate = 4,
    CreditRequest = 8,
    Shutdown = 16,
}
