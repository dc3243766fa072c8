namespace Cnvm.Virtio.Net;

/// <summary>Frames that passed since the device was made, seen from the guest; bytes without the virtio-net header.</summary>
public readonly record struct NetCounters(ulong RxBytes, ulong RxFrames, ulong TxBytes, ulong TxFrames);
