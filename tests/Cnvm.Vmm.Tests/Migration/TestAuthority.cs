using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Cnvm.Tests;

/// <summary>An authority that a test makes, and folders with what it certifies, as <c>tls_dir</c> wants them.</summary>
internal sealed class TestAuthority : IDisposable
{
    private static readonly DateTimeOffset Begin = DateTimeOffset.UtcNow.AddDays(-10);
    private readonly ECDsa _key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
    private readonly X509Certificate2 _root;

    public TestAuthority(string name)
    {
        var request = new CertificateRequest($"CN={name}", _key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: false, 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign, critical: true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        _root = request.CreateSelfSigned(Begin, DateTimeOffset.UtcNow.AddDays(10));
    }

    /// <summary>Its own certificate.</summary>
    public string Pem => _root.ExportCertificatePem();

    /// <summary>Fills a folder: this authority is believed, and certifies both roles.</summary>
    /// <param name="name">DNS name of both.</param>
    /// <param name="daysLeft">Negative: expired.</param>
    /// <param name="isSwapped">A client's certificate may serve only, and a server's only connect.</param>
    /// <param name="believed">Who is believed instead.</param>
    public string Fill(string folder, string name = "cnvm.test", int daysLeft = 5, bool isSwapped = false, TestAuthority? believed = null)
    {
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "ca-cert.pem"), (believed ?? this).Pem);
        Issue(folder, "client", name, daysLeft, isSwapped);
        Issue(folder, "server", name, daysLeft, !isSwapped);
        return folder;
    }

    public void Dispose()
    {
        _root.Dispose();
        _key.Dispose();
    }

    private void Issue(string folder, string role, string name, int daysLeft, bool serves)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name} {role}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: false, hasPathLengthConstraint: false, 0, critical: true));

        // RFC 5280 §4.2.1.12: id-kp-serverAuth and id-kp-clientAuth.
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(serves ? "1.3.6.1.5.5.7.3.1" : "1.3.6.1.5.5.7.3.2")], critical: false));
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName(name);
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        byte[] serial = RandomNumberGenerator.GetBytes(8);
        serial[0] &= 0x7F;
        using X509Certificate2 certificate = request.Create(_root, Begin, DateTimeOffset.UtcNow.AddDays(daysLeft), serial);
        File.WriteAllText(Path.Combine(folder, $"{role}-cert.pem"), certificate.ExportCertificatePem());
        File.WriteAllText(Path.Combine(folder, $"{role}-key.pem"), key.ExportPkcs8PrivateKeyPem());
    }
}
