using System.Security.Cryptography;

namespace Cnvm.Sandbox.Images;

/// <summary>Computes the digest of what is read through it.</summary>
/// <param name="inner">Owned.</param>
internal sealed class HashingStream(Stream inner) : ReadingStream
{
    private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);

    public override int Read(Span<byte> buffer)
    {
        int count = inner.Read(buffer);
        _hash.AppendData(buffer[..count]);
        return count;
    }

    /// <summary>Reads the rest and compares.</summary>
    /// <param name="what">For the message.</param>
    /// <exception cref="ImageException">It is something else.</exception>
    public void Verify(ContentDigest expected, string what)
    {
        Span<byte> rest = stackalloc byte[4096];
        while (Read(rest) > 0)
        {
        }

        string found = Convert.ToHexStringLower(_hash.GetHashAndReset());
        if (found != expected.Hex)
        {
            throw new ImageException($"{what} is not what its digest says: {expected} was expected, and it is sha256:{found}");
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _hash.Dispose();
            inner.Dispose();
        }

        base.Dispose(disposing);
    }
}
