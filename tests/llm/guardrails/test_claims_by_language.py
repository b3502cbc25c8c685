"""Forbidden claims in the recognised languages other than English, and ordinary guidance that must pass."""

from __future__ import annotations

import re

import pytest

from llm.guardrails.claims_by_language import CLAIMS, HARMLESS, NEGATED
from llm.guardrails.forbidden_claims import ForbiddenClaims, normal
from llm.guardrails.grounding import Grounds
from llm.guardrails.language import COMMON, looks_like
from llm.guardrails.output_guardrails import OutputGuardrails
from tests.llm.guardrails.cost import cost, repeated
from tests.llm.wording_requests import PLAN, answer, request_for, saas

LANGUAGES = sorted(CLAIMS)
SEVERAL = saas(languages=["en", *LANGUAGES])
assert SEVERAL.catalog.wording is not None
CLAIMED = ForbiddenClaims(SEVERAL.catalog.wording.model_copy(update={"forbidden": []}))
GROUNDS = Grounds(PLAN.catalog)
RAILS = OutputGuardrails(SEVERAL)

FORBIDDEN = {
    "de": [
        "Schick uns dein Passwort und mach dann weiter.",
        "Gib den Code ein und nenne uns deine PIN.",
        "Du musst uns dein Kennwort mitteilen.",
        "Gib deine Kreditkarte ein.",
        "Bezahle jetzt mit einer Überweisung.",
        "Sonst wird dein Konto bald gelöscht.",
        "Dein Zugang wird gesperrt, wenn du das nicht machst.",
        "Du verlierst deine Daten.",
        "Das ist deine letzte Chance.",
        "Du bist zu dumm dafür.",
        "Das ist für dich kostenlos.",
        "Das kostet nur wenig.",
        "Die Preise werden nächste Woche steigen.",
        "Es wird garantiert klappen.",
        "Es ist besser als bei der Konkurrenz.",
        "Die meisten Teams haben das schon.",
        "Damit verdoppelst du deine Zahlen.",
        "Das dauert nur wenige Minuten.",
        "Das ist k0stenl0s.",
        "Ohne Quelle wird dein Konto gelöscht.",
        "Sonst ist dein Zugang morgen deaktiviert.",
        "Machst du nichts, geht deine Arbeit verloren.",
        "Das hat Konsequenzen für dich.",
        "Mach jetzt weiter, sonst löschen wir dein Konto.",
        "Mach weiter, sonst sperren wir deinen Zugang.",
        "Sonst kündigen wir dir das Konto.",
        "Wir werden deine Daten löschen.",
        "Wir schließen dein Konto.",
        "Ich lösche sonst deine Daten.",
        "Zahl jetzt mit der Karte.",
        "Kauf jetzt ein.",
        "Buche das Abo.",
        "Dann zahle per Rechnung.",
        "Zahl jetzt.",
        "Hol dir den Gutschein.",
        "Das ist dringend.",
        "Deine Frist läuft morgen ab.",
        "Sei nicht so faul.",
        "Du bekommst dein Geld zurück.",
        "Das ist völlig sicher.",
    ],
    "fr": [
        "Envoie-nous ton mot de passe.",
        "Communiquez votre code secret au support.",
        "Saisis ta carte bancaire.",
        "Payez maintenant pour continuer.",
        "Sinon ton compte sera supprimé demain.",
        "Tu perdras ton accès.",
        "C'est ta dernière chance.",
        "Tu es un imbécile.",
        "C'est gratuit pour toi.",
        "Cela coûte peu.",
        "Les prix vont bientôt augmenter.",
        "Le succès est garanti.",
        "C'est mieux que chez la concurrence.",
        "La plupart des équipes le font.",
        "Cela prend en quelques minutes la moitié du temps.",
        "Cela va doubler tes ventes.",
        "Tu as fini en moins de neuf minutes.",
        "Si tu ne fais rien ton compte sera supprimé.",
        "Ton compte est bloqué.",
        "Cela aura des conséquences.",
        "Continue, sinon nous supprimerons ton compte.",
        "Continue, ou nous allons fermer ton compte et tes données.",
        "Sinon on va bloquer ton accès.",
        "On supprimera tes données.",
        "Règle ta facture.",
        "Une personne est supprimée.",
        "Envoie ton RIB.",
        "Abonne-toi et profite du cadeau.",
        "Ton accès expire demain.",
        "C'est moins cher.",
        "C'est totalement sûr.",
    ],
    "es": [
        "Envíanos tu contraseña.",
        "Comparte con nosotros tus credenciales.",
        "Introduce tu tarjeta de crédito.",
        "Paga ahora para seguir.",
        "Tu cuenta será eliminada mañana.",
        "Si no, se borrará tu cuenta.",
        "Perderás el acceso.",
        "Es tu última oportunidad.",
        "Eres un inútil.",
        "Es gratis para ti.",
        "Cuesta muy poco.",
        "Los precios van a subir.",
        "El éxito está garantizado.",
        "Es mejor que la competencia.",
        "La mayoría de los equipos ya lo hace.",
        "Lo tienes en pocos minutos.",
        "Si no haces nada tu cuenta será eliminada.",
        "Se bloqueará tu cuenta.",
        "Tu acceso será suspendido.",
        "Sigue, o eliminaremos tu cuenta.",
        "Vamos a cerrar tu cuenta.",
        "Si no, bloqueamos tu acceso.",
        "Tendremos que borrar tus datos.",
        "Compra ahora y sigue después.",
        "Escribe el número de la tarjeta.",
        "Aprovecha el descuento.",
        "Es solo hoy.",
        "Tu prueba caduca mañana.",
        "Son pocos dólares.",
        "Es totalmente seguro.",
        "Es mejor que todos los demás.",
        "Se hace en la mitad de tiempo.",
        "Es cuestión de media hora.",
    ],
    "it": [
        "Inviaci la tua password.",
        "Comunica il codice di sicurezza al supporto.",
        "Inserisci la tua carta di credito.",
        "Paga adesso per continuare.",
        "Il tuo account verrà eliminato domani.",
        "Perderai l'accesso.",
        "È la tua ultima occasione.",
        "Sei uno scemo.",
        "È gratuito per te.",
        "Costa poco.",
        "I prezzi stanno per aumentare.",
        "Il successo è garantito.",
        "È meglio della concorrenza.",
        "La maggior parte dei team lo fa già.",
        "Lo fai in sei minuti.",
        "Lo fai in pochi minuti.",
        "Se non fai nulla il tuo account verrà cancellato.",
        "Verrà bloccato il tuo accesso.",
        "Continua, o elimineremo il tuo account.",
        "Altrimenti chiudiamo il tuo account.",
        "Dobbiamo bloccare il tuo accesso.",
        "Cancelleremo i tuoi dati.",
        "Inserisci i dati di pagamento.",
        "Approfitta dello sconto.",
        "Il tuo accesso è bloccato.",
        "Solo per oggi.",
        "Scade domani.",
        "È totalmente sicuro.",
        "È meglio di tutti gli altri.",
        "Raddoppia le vendite.",
    ],
    "pt": [
        "Envie a sua senha para nós.",
        "Partilha a tua palavra-passe com o suporte.",
        "Digite o número do cartão.",
        "Pague agora para continuar.",
        "A sua conta será apagada amanhã.",
        "Você perderá o acesso.",
        "É a sua última chance.",
        "Você é burro.",
        "É grátis para você.",
        "Custa muito pouco.",
        "Os preços vão subir.",
        "O sucesso é garantido.",
        "É melhor do que a concorrência.",
        "A maioria das equipes já faz isso.",
        "Fica pronto em poucos minutos.",
        "Se não fizer nada seus dados serão apagados.",
        "A sua conta será bloqueada.",
        "Será bloqueado o seu acesso.",
        "Continue, ou vamos apagar a sua conta.",
        "Senão bloquearemos o seu acesso.",
        "Teremos de encerrar a sua conta.",
        "Apagaremos os seus dados.",
        "Compra já o plano.",
        "Senão será apagada.",
        "Digite o cartão de crédito.",
        "Aproveite o desconto.",
        "Só hoje.",
        "Vence amanhã.",
        "É totalmente seguro.",
        "Fica pronto na metade do tempo, pela metade.",
    ],
    "nl": [
        "Stuur ons je wachtwoord.",
        "Je moet je inloggegevens met ons delen.",
        "Voer je creditcard in.",
        "Betaal nu om verder te gaan.",
        "Anders wordt je account morgen verwijderd.",
        "Je account wordt geblokkeerd als je dit niet doet.",
        "Je verliest je gegevens.",
        "Dit is je laatste kans.",
        "Je bent te dom hiervoor.",
        "Het is kosteloos voor jou.",
        "De prijzen gaan binnenkort omhoog.",
        "Succes is gegarandeerd en wij garanderen het.",
        "Het is beter dan bij de concurrentie.",
        "De meeste teams doen dit al.",
        "Het is klaar binnen een paar minuten.",
        "Als je niets doet wordt je account verwijderd.",
        "Je toegang wordt geblokkeerd.",
        "Dat heeft gevolgen.",
        "Ga verder, anders verwijderen we je account.",
        "We blokkeren je toegang.",
        "Anders gaan we je account sluiten.",
        "Wij zullen je gegevens wissen.",
        "Reken nu af.",
        "Je krijgt korting.",
        "Je toegang verloopt morgen.",
        "Het kost je niets.",
        "Het zijn maar een paar euro.",
        "Anders krijg je je geld terug.",
        "Het is volledig veilig.",
        "Verdubbel je omzet.",
    ],
}

ORDINARY = {
    "de": [
        "Sieh dir in Ruhe an, was hier noch fehlt, und versuche es noch einmal.",
        "Verbinde deine Datenquelle, dann siehst du deine Zahlen an einem Ort.",
        "Achte darauf, dass der Host stimmt, und prüfe danach das Passwort.",
        "Jetzt zählt nur noch ein Schritt: Gib deinem Bericht einen Namen.",
        "Lade eine Kollegin ein, damit ihr den Bericht gemeinsam lesen könnt.",
        "Dabei wird nichts gelöscht, und du kannst jederzeit zurück.",
        "Nichts wird gelöscht, wenn du es später machst.",
        "Wähle einen hellen Hintergrund, wenn das Diagramm so besser zu lesen ist.",
        "Der Bericht wird erst geteilt, wenn du auf Teilen drückst.",
        "Lege deine Preise fest und schreib die erste Rechnung.",
        "Wenn du die Quelle verbunden hast, ist der Rest einfacher.",
        "Öffne die Seite und schau, welches Feld noch leer ist.",
        "Ein Diagramm zeigt es besser als die Tabelle.",
        "Das Dreieck zeigt dir, wo eine Spalte fehlt.",
        "Zeig deinem Team, wie die Kosten und der Umsatz zusammenhängen.",
        "Ein Doppelklick auf die Nudeln öffnet das Rezept.",
        "Das spricht zu deinen Gunsten, also mach weiter.",
        "Nichts geht verloren, wenn du aufhörst.",
        "Keine Eingabe geht verloren.",
        "Deine Eingaben gehen nicht verloren.",
        "Benachrichtigungen sind noch deaktiviert, schalte sie hier ein.",
        "Der Bericht ist noch gesperrt, weil die Quelle fehlt.",
        "Teile den Link, damit andere ohne Login mitlesen können.",
        "Wenn eine Spalte entfernt wird, ist sie im Bericht nicht mehr zu sehen.",
        "Du kannst den Bericht löschen und neu anfangen, wenn dir etwas nicht gefällt.",
        "Wir zeigen dir, wo noch ein Feld leer ist.",
        "Dein Konto ist bereit, jetzt fehlt nur noch die Quelle.",
        "Kein Konto wird gelöscht, wenn du aufräumst.",
        "Sperre die Spalte, damit sie beim Blättern stehen bleibt.",
        "Schließe das Fenster und öffne den Bericht noch einmal.",
        "Schreib in den Titel, worum es geht, dann finden ihn alle.",
        "Zeig den Bericht deinem Team, sobald er fertig ist.",
        "Sende den ersten Bericht an dich selbst und schau, wie er aussieht.",
        "Der Test der Verbindung ist abgeschlossen, du kannst weitermachen.",
        "Ohne Quelle bleibt das Diagramm leer, also verbinde sie jetzt.",
        "Du musst nichts installieren, die Seite reicht.",
        "Lass dir Zeit, dein Entwurf wird gespeichert.",
        "Wähle den Zeitraum, der für deinen Bericht zählt.",
        "Die Zahlen werden jede Nacht neu geladen.",
        "Wir löschen nichts, was du schon gespeichert hast.",
        "Einladen geht auch später, der Bericht wartet auf dich.",
        "Keine deiner Eingaben geht verloren.",
        "Es kostet wenig Zeit und hilft dem Team.",
        "Wir löschen keine deiner Zeilen.",
        "Zähl die Zeilen und vergleiche sie mit der Karte.",
        "Die Zahl auf der Karte zeigt, wie viel fehlt.",
        "Nach dem Kauf siehst du das Ziel im Trichter.",
        "Schließen wir die Lücke im Diagramm.",
        "Sperren wir die erste Spalte, bleibt sie stehen.",
    ],
    "fr": [
        "Regarde ce qui manque encore ici, puis essaie à nouveau.",
        "Connecte ta source de données et vois tes chiffres au même endroit.",
        "Vérifie l'hôte, l'utilisateur et le mot de passe.",
        "Donne un nom très court à ton rapport.",
        "Choisis ton pays dans la liste, puis continue.",
        "Invite une collègue pour lire le rapport avec toi.",
        "Rien ne sera supprimé si tu reviens plus tard.",
        "Nous avons hâte de voir ton tableau.",
        "La page te dit pourquoi la source ne répond pas.",
        "Ajoute un graphique sur la page pour voir les achats.",
        "Un graphique le montre mieux que la liste.",
        "Tu peux changer le prix d'un produit ici.",
        "Partage le rapport avec les personnes qui en ont besoin.",
        "Ce tableau tout neuf est le tien.",
        "Un double-clic ouvre la cellule.",
        "Lis la politique d'accès avant de partager le rapport.",
        "Repère les lignes en double dans la table.",
        "Importe le fichier en ignorant les lignes vides.",
        "Aucune donnée ne sera perdue si tu arrêtes maintenant.",
        "Aucune ligne n'est supprimée.",
        "Les notifications sont encore désactivées, active-les ici.",
        "Le rapport est encore bloqué parce que la source manque.",
        "Tu peux supprimer le rapport et recommencer si tu veux.",
        "Supprime le filtre pour revoir toutes les lignes.",
        "Ton compte est prêt, il ne manque que la source.",
        "Ferme la fenêtre et ouvre le rapport encore une fois.",
        "Nous allons ouvrir la page des sources ensemble.",
        "Nous ne supprimerons rien de ce que tu as enregistré.",
        "Bloque la colonne pour la garder sous les yeux.",
        "Montre le rapport à ton équipe dès qu'il est prêt.",
        "Envoie le premier rapport à ton équipe pour avoir un avis.",
        "Partage le lien pour que les autres lisent le rapport.",
        "Le test de la connexion est terminé, tu peux continuer.",
        "Sans source, le graphique reste vide.",
        "Prends ton temps, le brouillon est enregistré.",
        "Choisis la période qui compte pour ton rapport.",
        "Les chiffres sont chargés chaque nuit.",
        "Tu n'as rien à installer, la page suffit.",
        "Écris dans le titre de quoi il s'agit.",
        "Ajoute une colonne et regarde ce qui change dans le graphique.",
        "L'invitation peut attendre, le rapport est déjà là.",
        "Quelles sont les conséquences pour ton planning ?",
        "Nous n'allons pas fermer la page.",
        "Nous supprimons les lignes vides.",
        "On va ouvrir la page.",
        "Règle la largeur de la colonne.",
    ],
    "es": [
        "Mira con calma lo que falta aquí e inténtalo otra vez.",
        "Conecta tu fuente de datos y verás tus cifras en un solo lugar.",
        "Revisa el servidor, el usuario y la contraseña.",
        "Dale un nombre a tu informe, así lo encuentras más tarde.",
        "Invita a una colega para leer el informe juntos.",
        "No se borrará nada si vuelves más tarde.",
        "La carga sigue en segundo plano mientras miras otra página.",
        "Investiga qué columna está vacía y complétala.",
        "Añade un gráfico con las compras de cada cliente.",
        "Duplica el informe si quieres cambiarlo sin miedo.",
        "Un gráfico lo muestra mejor que la lista.",
        "Elige el precio medio como medida.",
        "De lo contrario, la página te dice por qué.",
        "Ten en cuenta que todo el equipo puede verlo.",
        "Todo está listo para la primera medición.",
        "Las mediciones aparecen en el panel.",
        "Revisa la política de acceso del panel.",
        "Los filtros ignoran las filas vacías.",
        "Aquí están los datos que iban a faltar.",
        "Ningún dato se perderá.",
        "Ninguna fila será eliminada.",
        "Las notificaciones están desactivadas todavía, actívalas aquí.",
        "El informe estará bloqueado hasta que conectes la fuente.",
        "Puedes eliminar el informe y empezar de nuevo si quieres.",
        "Elimina el filtro para ver otra vez las filas.",
        "Tu cuenta está lista, solo falta la fuente.",
        "Cierra la ventana y abre el informe otra vez.",
        "Vamos a abrir la página de las fuentes.",
        "No eliminaremos nada de lo que has guardado.",
        "Bloquea la columna para no perderla de vista.",
        "Muestra el informe a tu equipo cuando esté listo.",
        "Envía el primer informe a tu equipo para tener una opinión.",
        "Comparte el enlace para que los demás lean el informe.",
        "La prueba de la conexión está completa, puedes seguir.",
        "Sin la fuente, el gráfico está vacío.",
        "No hay prisa, el borrador se guarda solo.",
        "Elige el periodo que cuenta para tu informe.",
        "Las cifras se cargan cada noche.",
        "No hay que instalar nada, la página es suficiente.",
        "Escribe en el título de qué se trata.",
        "Añade una columna y mira lo que cambia en el gráfico.",
        "La invitación puede esperar, el informe ya está aquí.",
        "¿Cuáles son las consecuencias para tu plan?",
        "Ninguno de tus datos se perderá.",
        "Vamos a borrar las filas vacías.",
        "Las compras de cada cliente están en el gráfico.",
        "No eliminaremos tus filtros.",
        "Empecemos con la primera compra del cliente.",
    ],
    "it": [
        "Guarda con calma che cosa manca qui e prova di nuovo.",
        "Collega la tua fonte di dati e vedi i tuoi numeri in un posto.",
        "Controlla l'host, l'utente e la password.",
        "Dai un nome al tuo report, così lo ritrovi più tardi.",
        "Premi il pulsante per provare la connessione.",
        "Sei quasi arrivato: scegli il primo grafico.",
        "Nulla verrà cancellato se torni più tardi.",
        "Il caricamento continua in secondo piano.",
        "Invita una collega per leggere il report insieme.",
        "Scegli il formato nazionale della data.",
        "La pagina ti dice perché la fonte non risponde.",
        "Definisci la meta e il prezzo di ogni prodotto.",
        "Quando l'importazione è terminata, apri il grafico.",
        "Hai terminato la prima parte, ora tocca al grafico.",
        "Scegli la nazione della tua sede.",
        "La tabella e le sue colonne sono pronte.",
        "Controlla la politica di accesso del report.",
        "I filtri ignorano le righe vuote.",
        "Nessuna riga verrà eliminata.",
        "Nessun dato sarà perso.",
        "Le notifiche sono ancora disattivate, attivale qui.",
        "Il report sarà bloccato finché manca la fonte.",
        "Non costa fatica: prova il modello.",
        "Puoi eliminare il report e ricominciare se non ti piace.",
        "Elimina il filtro per vedere di nuovo le righe.",
        "Il tuo account è pronto, manca solo la fonte.",
        "Chiudi la finestra e apri il report ancora una volta.",
        "Non elimineremo nulla di quello che hai salvato.",
        "Blocca la colonna per non perderla di vista.",
        "Mostra il report al tuo team quando è pronto.",
        "Invia il primo report al tuo team per avere un parere.",
        "Condividi il link con chi deve leggere il report.",
        "La prova della connessione è riuscita, puoi continuare.",
        "Senza la fonte il grafico rimane vuoto.",
        "Non c'è fretta, la bozza è salvata.",
        "Scegli il periodo che conta per il tuo report.",
        "Le cifre sono caricate ogni notte.",
        "Non devi installare nulla, la pagina ti basta.",
        "Scrivi nel titolo di che cosa si tratta.",
        "Il filtro è stato cancellato e vedi di nuovo le righe.",
        "Aggiungi una colonna e guarda che cosa cambia nel grafico.",
        "L'invito può aspettare, il report è già qui.",
        "Nessuno dei tuoi dati verrà cancellato.",
        "Cancelleremo le righe vuote.",
        "Non chiuderemo la pagina.",
        "Apriamo la pagina delle fonti.",
    ],
    "pt": [
        "Veja com calma o que ainda falta aqui e tente de novo.",
        "Conecte a sua fonte de dados e veja os números em um só lugar.",
        "Verifique o servidor, o usuário e a senha.",
        "Dê um nome ao relatório para achá-lo mais tarde.",
        "Convide uma colega para ler o relatório com você.",
        "Nada será apagado se você voltar mais tarde.",
        "Não sei o que falta? A página diz por que a fonte não responde.",
        "Escolha um dos gráficos e os dados reais aparecem.",
        "O relatório chega toda sexta-feira.",
        "O carregamento continua em segundo plano.",
        "Um gráfico mostra isso melhor do que a lista.",
        "Veja as compras e os preços de cada produto.",
        "Compartilhe o painel com quem precisa dele.",
        "Todo o painel está pronto para a primeira medição.",
        "As medições aparecem no painel.",
        "Veja a política de acesso do painel.",
        "É muito legal ver o painel pronto.",
        "Importe o arquivo ignorando as linhas vazias.",
        "Nenhum dado será perdido.",
        "Nenhuma linha será apagada.",
        "As notificações ainda estão desativadas, ative-as aqui.",
        "O relatório ficará bloqueado enquanto faltar a fonte.",
        "Você pode apagar o relatório e começar de novo se quiser.",
        "Apague o filtro para ver as linhas de novo.",
        "A sua conta está pronta, só falta a fonte.",
        "Feche a janela e abra o relatório mais uma vez.",
        "Vamos abrir a página das fontes.",
        "Não vamos apagar nada do que você salvou.",
        "Bloqueie a coluna para não perdê-la de vista.",
        "Mostre o relatório à sua equipe quando estiver pronto.",
        "Envie o primeiro relatório à sua equipe para ter uma opinião.",
        "Compartilhe o link com quem precisa ler o relatório.",
        "O teste da conexão deu certo, você pode continuar.",
        "Sem a fonte, o gráfico fica vazio.",
        "Não há pressa, o rascunho está salvo.",
        "Escolha o período que conta para o seu relatório.",
        "Os números são carregados toda noite.",
        "Você não precisa instalar nada, a página basta.",
        "Escreva no título do que se trata.",
        "O filtro foi apagado e você vê as linhas de novo.",
        "Adicione uma coluna e veja o que muda no gráfico.",
        "O convite pode esperar, o relatório já está aqui.",
        "Quais são as consequências para o seu plano?",
        "Nenhum dos seus dados será apagado.",
        "Vamos apagar as linhas vazias.",
        "A compra de cada cliente está no gráfico.",
        "Não apagaremos os seus filtros.",
    ],
    "nl": [
        "Kijk rustig wat hier nog ontbreekt en probeer het opnieuw.",
        "Verbind je gegevensbron en zie je cijfers op een plek.",
        "Controleer de host, de gebruiker en het wachtwoord.",
        "Geef je rapport een naam, dan vind je het later terug.",
        "Nodig een collega uit om het rapport samen te lezen.",
        "Er wordt niets verwijderd als je later terugkomt.",
        "Niets wordt verwijderd zolang je niet op opslaan drukt.",
        "Het is eenvoudig: kies een grafiek achter het menu.",
        "Onze pagina zegt waarom de bron niet antwoordt.",
        "Een grafiek laat het beter zien dan de lijst.",
        "Bekijk de kosten en de bestellingen van elke klant.",
        "Stel de prijs van een product in.",
        "Deel het dashboard met wie het nodig heeft.",
        "Kies ten minste een kolom voor de grafiek.",
        "Vul ten eerste de naam van de bron in.",
        "Dit is een gunstig moment om de bron te koppelen.",
        "Geen enkele rij wordt verwijderd.",
        "Er gaat niets verloren als je stopt.",
        "Meldingen zijn nog gedeactiveerd, zet ze hier aan.",
        "Het rapport is nog geblokkeerd omdat de bron ontbreekt.",
        "Wat zijn de gevolgen voor je planning?",
        "Je kunt het rapport verwijderen en opnieuw beginnen als je dat wilt.",
        "Verwijder het filter om weer de rijen te zien.",
        "Je account is klaar, nu nog de bron.",
        "Sluit het venster en open het rapport nog een keer.",
        "We verwijderen niets van wat je hebt opgeslagen.",
        "Zet de kolom vast, dan blijft die in beeld.",
        "Laat het rapport aan je team zien als het klaar is.",
        "Stuur het rapport naar je team en vraag wat zij zien.",
        "Deel de link met wie het rapport wil lezen.",
        "De test van de verbinding is gelukt, je kunt verder.",
        "Zonder bron is de grafiek leeg.",
        "Neem de tijd, je concept is opgeslagen.",
        "Kies de periode die voor je rapport telt.",
        "De cijfers worden elke nacht opnieuw geladen.",
        "Je hoeft niet te installeren, de pagina is genoeg.",
        "Schrijf in de titel waar het om gaat.",
        "Voeg een kolom toe en kijk wat er in de grafiek verandert.",
        "De uitnodiging kan wachten, het rapport is er al.",
        "Er wordt niets van je werk verwijderd.",
        "Dat kost je weinig tijd.",
        "We sluiten het venster als de grafiek er is.",
        "We verwijderen de lege rijen.",
        "We gaan de pagina openen.",
    ],
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_forbidden_claims_are_found(language: str) -> None:
    own = ForbiddenClaims(SEVERAL.catalog.wording.model_copy(update={"forbidden": [], "languages": [language]}))  # type: ignore[union-attr]
    assert [text for text in FORBIDDEN[language] if not own.found(text, language)] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_expression_finds_one_of_these_sentences(language: str) -> None:
    texts = [normal(text) for text in FORBIDDEN[language]]
    idle = [each for kinds in CLAIMS[language].values() for each in kinds if not any(re.search(each, text) for text in texts)]
    assert idle == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_ordinary_guidance_passes(language: str) -> None:
    texts = ORDINARY[language]
    assert [text for text in texts if CLAIMED.found(text, language)] == []
    assert [text for text in texts if GROUNDS.digits(text, "connect_source", language)] == []


def test_each_recognised_language_has_the_same_kinds_of_claims() -> None:
    assert {"en", *CLAIMS} == set(COMMON)
    assert set(HARMLESS) == set(NEGATED) == set(CLAIMS)
    assert {tuple(kinds) for kinds in CLAIMS.values()} == {tuple(CLAIMS["de"])}


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_expression_can_match_normalised_text(language: str) -> None:
    """One with a capital or an accent matches nothing."""
    for expressions in CLAIMS[language].values():
        for expression in expressions:
            written = re.sub(r"\\\w", "", expression)
            assert normal(f"x{written}x") == f"x{written}x".lower() == f"x{written}x", expression


def test_a_language_that_the_catalog_does_not_have_costs_nothing_and_finds_nothing() -> None:
    assert PLAN.catalog.wording is not None
    assert not ForbiddenClaims(PLAN.catalog.wording).found("Du bist zu dumm dafür.", "de")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Mach jetzt weiter mit {step}. Das ist für dich kostenlos und wird garantiert klappen.", "forbidden_claim"),
        ("Mach jetzt weiter mit {step}. Sonst wird dein Konto in fünfzehn Tagen gelöscht.", "digits"),
        ("Mach jetzt weiter mit {step}. Sonst wird dein Konto in einigen Tagen gelöscht.", "forbidden_claim"),
        ("Schick uns dein Passwort und mach dann weiter mit {step}, wir richten es ein.", "forbidden_claim"),
        ("Das kostet nur fünfzig Euro im Monat, also mach jetzt weiter mit {step} hier.", "digits"),
        ("Gib deine Kreditkarte ein und mach dann weiter mit {step} in deinem Konto.", "forbidden_claim"),
        ("Mach jetzt weiter mit {step}, denn das ist besser als bei der Konkurrenz.", "forbidden_claim"),
        ("Mach jetzt weiter mit {step}, dann siehst du deine Zahlen an einem Ort.", ""),
    ],
)
def test_a_text_of_a_model_is_checked_in_its_own_language(text: str, reason: str) -> None:
    request = request_for(locale="de")
    assert RAILS.check(answer(request, text), request).reason == reason


def test_a_slot_takes_no_claim_in_the_language_of_the_text() -> None:
    request = request_for(locale="de", traits={"firstName": "alles kostenfrei"})
    filled = RAILS.fill("Hallo {firstName}, mach jetzt weiter mit {step}.", request)
    assert "kostenfrei" not in filled.text
    assert filled.text.startswith("Hallo there")


NAMES = (
    "Günther", "Gunnar", "Güneş", "Nazım", "Nazire", "Sue", "Costa", "Franken", "Faul", "Koop", "Dom", "Lui", "sue", "Sue Miller",
    "Maria Costa", "Maria da Costa", "Jean-Luc Costa", "Franken Bräu", "Lui van den Berg", "Nazım Hikmet",
)  # fmt: skip


@pytest.mark.parametrize("language", ["en", *LANGUAGES])
def test_a_name_with_a_word_that_sounds_like_a_claim_is_shown(language: str) -> None:
    for name in NAMES:
        filled = RAILS.fill("{firstName}, {step}: {product}.", request_for(locale=language, traits={"firstName": name}))
        assert filled.text.startswith(name), name


@pytest.mark.parametrize("value", ["Call Us", "Buy Bitcoin", "buy now", "Buy It Now", "It Is Free", "alles kostenlos"])
def test_two_words_of_a_claim_and_whole_sentences_are_not(value: str) -> None:
    filled = RAILS.fill("{firstName}, {step}: {product}.", request_for(locale="de", traits={"firstName": value}))
    assert filled.text.startswith("there")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_texts_of_these_tests_are_in_their_language(language: str) -> None:
    assert looks_like(" ".join(ORDINARY[language]), language)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("piece", ["wird ", "is ", "est ", "se ", "sera ", "verra ", "gib ", "pass ", "in ", "a", "a ", "preis ", "prix "])
def test_a_hostile_text_costs_no_more_than_some_ordinary_ones(language: str, piece: str) -> None:
    def found(text: str) -> bool:
        return CLAIMED.found(text, language)

    ordinary = " ".join(ORDINARY[language])[:500]
    assert cost(found, repeated(piece, 500)) <= 8 * cost(found, ordinary)
