namespace Cnvm.Ttrpc.Wire;

/// <summary>Reads a method's request; the bytes may be reused afterwards.</summary>
/// <exception cref="ProtoException">They are no such request.</exception>
internal delegate PreparedCall CallPreparation(ReadOnlySpan<byte> payload);
