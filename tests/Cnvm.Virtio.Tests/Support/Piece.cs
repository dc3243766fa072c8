namespace Cnvm.Virtio.Tests.Support;

/// <summary>One buffer of a chain that a test driver builds.</summary>
public readonly record struct Piece(ulong Address, uint Length, bool Writable)
{
    public static Piece In(ulong address, int length) => new(address, (uint)length, false);

    public static Piece Out(ulong address, int length) => new(address, (uint)length, true);
}
