namespace Cnvm.Devices.Serial;

/// <summary>
/// The far end of a serial line: a terminal, a pty, a file, a socket, or nothing. The port calls it with its own lock held, on
/// vCPU threads and on whatever thread calls <see cref="Serial16550.InputReady"/> or <see cref="Serial16550.OutputReady"/>; so an
/// implementation never calls the port while it holds a lock that these methods take.
/// </summary>
public interface ISerialBackend
{
    /// <summary>
    /// Takes one byte that the guest sent. False: no room now; the port keeps the byte and makes its transmitter busy until
    /// <see cref="Serial16550.OutputReady"/> is called. Does not block.
    /// </summary>
    bool TryWrite(byte value);

    /// <summary>
    /// Gives up to <paramref name="destination"/>.Length bytes for the guest; 0 when there are none now. The port asks whenever its
    /// FIFO has run empty and when <see cref="Serial16550.InputReady"/> says that there is something new, so bytes that do not
    /// fit wait in the backend and none is lost. Does not block.
    /// </summary>
    int Read(Span<byte> destination);
}
